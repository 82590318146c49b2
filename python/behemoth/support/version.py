"""The version of the package, which is that of its engine."""

from behemoth._gen import version

__version__ = version()
