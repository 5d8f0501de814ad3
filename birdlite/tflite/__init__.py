"""What is in a .tflite file, read and written with the standard library alone."""
