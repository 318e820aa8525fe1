"""Engines: small objects that run primitives, differentiate and compile; nothing else imports their libraries."""
