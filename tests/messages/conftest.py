import pytest

pytest.register_assert_rewrite("tests.messages.conversation", "tests.messages.normal")
