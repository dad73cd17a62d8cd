"""A trained model for other tools: ONNX, PyTorch, plain arrays; and the way in from PyTorch."""
