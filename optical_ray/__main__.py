"""``python -m optical_ray``."""

from optical_ray.cli.app import main

if __name__ == "__main__":
    main()
