"""Models become bundles here: a source is turned into TFLite or ONNX, and the result is proven equal to it.

No other room imports TensorFlow, `onnx` or the schema of TFLite, and this one imports them within the functions that
need them: each comes with an extra, and `classify` never comes by here.
"""
