"""How the demo help desk is made: phrases in, one ONNX file out. Needs NumPy and onnx alone."""
