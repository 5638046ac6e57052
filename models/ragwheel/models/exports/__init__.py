"""A registered model in the forms in which others take it: a folder, ONNX, a hub, MLflow."""
