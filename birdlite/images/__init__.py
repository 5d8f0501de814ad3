"""A picture's bytes into 224x224 RGB: formats, orientation, resize."""
