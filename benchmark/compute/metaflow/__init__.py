"""Metaflow: a flow whose foreach is the tasks."""
