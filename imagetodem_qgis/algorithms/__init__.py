"""The Processing algorithms, one a file: each declares its parameters, checks them and calls one function."""
