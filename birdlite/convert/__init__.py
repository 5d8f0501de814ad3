"""Converts models to TensorFlow Lite or ONNX and proves that each result answers as its source does.

No other package imports TensorFlow, tf2onnx or onnx. The modules here import them inside functions, because they come
with the extras `convert` and `onnx`. `classify` imports nothing of this.
"""
