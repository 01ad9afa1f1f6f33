"""What an operator sees and orders over HTTP: twisted.web resources over an ``Operator``."""
