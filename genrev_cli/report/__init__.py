"""HTML pages about a set of files, made from their headers, logs and pictures."""
