//! Every metric: name, unit, labels and buckets.
