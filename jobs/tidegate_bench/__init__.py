"""The measurements that its README.md quotes, and what they are made with."""
