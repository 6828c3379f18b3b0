"""The command line: thin programs over the library.

A command's module imports only what is light at its top: help, a wrong option and a missing file should not wait for
torch. What computes is imported by the function that uses it, once the options have been checked.
"""
