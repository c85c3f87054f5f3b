"""The quota's protocol in random worlds: real holders, ledgers and gates, against a log and an endpoint that misbehave."""
