"""What to classify: URLs, files, folders, patterns and lists into a lazy stream of targets."""
