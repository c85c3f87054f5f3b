"""Whether profiles hold what the topics asked for, judged from outside: pure, handed `now` and a random source.

    records ─▶ sample (a few visitors, drawn alike) ─▶ history (what was asked for them)
                                                            │
    profile fetch ──────────────────────────────────────▶ judge ─▶ tally ─▶ confidence

Nothing here reads Kafka or the profile API. docs/verify.md says what each verdict means, and what cannot be told apart.
"""
