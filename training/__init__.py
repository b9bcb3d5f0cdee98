"""Trains the demo classifier, or a hospital's own, and writes it as ONNX."""
