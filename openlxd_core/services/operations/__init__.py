"""Operations: rows that outlive a process, the handlers that carry them out, and the reconciler."""
