"""What the tests of the program use: a runner, a proxy process, clients and targets of our own."""
