"""The page that edits codes in a browser: its state, its routes, and what keeps others out."""
