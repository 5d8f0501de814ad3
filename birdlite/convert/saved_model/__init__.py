"""TensorFlow's SavedModel, read, understood and converted to ONNX without TensorFlow.

A classifier on TensorFlow Hub is an archive (`hub`, `archive`) of a folder (`read`) with a graph (`graph`, in the
messages of `schema`). `pixels` makes that graph take plain pixels and give probabilities; `fold` takes the rounding of
training out of it (`fake_quant`); `to_onnx` writes the result; `numpy_engine` runs either graph, as the reference that
a result is held against (`kernels`, `windows`).
"""
