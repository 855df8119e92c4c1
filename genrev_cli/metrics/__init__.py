"""Arrays in, floats out: distances between sets of images, features or codes, and errors of reconstructions."""
