"""This machine: its cores and their claims, its MPI, its EC2 instance, and what its time costs."""
