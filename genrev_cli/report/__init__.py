"""What a reader wants to know of a set of files, from their headers alone, as one HTML page."""
