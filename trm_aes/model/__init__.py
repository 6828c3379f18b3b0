"""What travels to the Hub: these files are copied beside the weights, and import nothing of ours but one another."""

from ..version import check_transformers

# Before a file of this folder asks an old Transformers for a name that it lacks.
check_transformers()
