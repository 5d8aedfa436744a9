"""`python -m consumer` is `raner-stream`."""

from consumer.cli import main

if __name__ == "__main__":
    main()
