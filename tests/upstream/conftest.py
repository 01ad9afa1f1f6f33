from tests.support.fixtures import make_proxy

__all__ = ["make_proxy"]
