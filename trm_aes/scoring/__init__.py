"""A trained scorer at work: one essay, a stream of them, an ONNX graph."""
