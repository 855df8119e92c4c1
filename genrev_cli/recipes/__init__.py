"""Every paper's settings, one TOML file per paper × data set; each value says where it comes from."""
