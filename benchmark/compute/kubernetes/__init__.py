"""Kubernetes: Indexed Jobs over the images of the frameworks."""
