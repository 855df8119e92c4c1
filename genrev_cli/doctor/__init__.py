"""doctor: describe the machine and check in a few minutes that genrev works on it. Each check gives one line."""
