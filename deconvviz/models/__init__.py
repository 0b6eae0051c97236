"""The networks that we train, and the guarded opening of model files."""
