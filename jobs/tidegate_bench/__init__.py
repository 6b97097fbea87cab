"""The measurements that the README quotes, and what they are made with."""
