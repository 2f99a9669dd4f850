"""An AutoML benchmark, and a tuner for any system, that loses no result."""

__version__ = "0.1.0"
