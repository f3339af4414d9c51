"""Training states on disk, in a form that either backend reads."""
