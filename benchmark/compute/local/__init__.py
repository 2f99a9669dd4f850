"""The pool on this machine."""
