"""Settings of the papers: one TOML file per paper and data set, with comments that give the source of each value."""
