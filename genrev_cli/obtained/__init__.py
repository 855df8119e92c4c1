"""What pipelines/obtained.mk trains, for how many steps, and the page that compares the results with the papers (docs/obtained.md)."""
