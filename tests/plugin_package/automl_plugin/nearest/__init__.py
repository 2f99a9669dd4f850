"""The folder of the framework; the benchmark reads it and never imports it."""
