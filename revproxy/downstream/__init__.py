"""The clients' side: connections that are accepted, requests that come in, answers that go out."""
