//! The values that labels can have.

/// An enumeration whose members are label values.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$member_doc])* $member,)*
        }

        impl $name {
            /// Every value, so that a counter exists before its first event.
            pub const ALL: &'static [Self] = &[$(Self::$member,)*];

            /// The label's text.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$member => $value,)*
                }
            }
        }
    };
}

label! {
    /// A part of a request's way.
    Stage {
        /// The body on its way in.
        Read = "read",
        /// Files to pixels.
        Decode = "decode",
        /// Mask to patch tables.
        Plan = "plan",
        /// Waiting for a device.
        Queue = "queue",
        /// The batch on its device.
        Generate = "generate",
        /// Pixels to files.
        Encode = "encode",
    }
}

label! {
    /// How a request ended.
    Outcome {
        /// With pictures.
        Ok = "ok",
        /// Refused for load, quota or shutdown.
        Refused = "refused",
        /// After its deadline.
        Late = "late",
        /// By the caller's mistake.
        Invalid = "invalid",
        /// By ours.
        Failed = "failed",
    }
}

label! {
    /// Why a request was refused before it was queued.
    RejectReason {
        /// The caller's own rate.
        RateLimit = "rate_limit",
        /// No key, or a wrong one.
        Unauthorized = "unauthorized",
        /// Its answer would have come after its deadline.
        Late = "late",
        /// The bound on jobs or bytes.
        QueueFull = "queue_full",
        /// The server is stopping.
        Draining = "draining",
        /// A device is lost.
        DeviceLost = "device_lost",
        /// The codec threads hold as many bytes as they may.
        CodecFull = "codec_full",
    }
}

label! {
    /// Where a job was when its caller left.
    CancelStage {
        /// It waited, and did not run.
        Queue = "queue",
        /// It ran, for nobody.
        Generate = "generate",
    }
}

label! {
    /// Why a batch failed.
    BatchFailure {
        /// The device's memory.
        OutOfMemory = "out_of_memory",
        /// The engine answered an error.
        Error = "error",
        /// The engine panicked.
        Panic = "panic",
        /// The device is gone.
        DeviceLost = "device_lost",
    }
}

label! {
    /// What a look at a store of models found.
    StoreCheck {
        /// Nothing new.
        Current = "current",
        /// New files, which are on disk now.
        Fetched = "fetched",
        /// The store does not answer, or refuses.
        Unreachable = "unreachable",
        /// What lies in it cannot be used: no digests, or wrong ones.
        Invalid = "invalid",
        /// The cache on disk cannot be written.
        CacheFailed = "cache_failed",
    }
}

label! {
    /// How the process before this one ended.
    LastExit {
        /// Nothing is known of one.
        Unknown = "unknown",
        /// It was told to.
        Stopped = "stopped",
        /// Without a word: killed, for want of memory say.
        Killed = "killed",
        /// A device was lost.
        DeviceLost = "device_lost",
        /// A device did not answer.
        DeviceStalled = "device_stalled",
        /// With another error.
        Failed = "failed",
    }
}

label! {
    /// What the cache of modulation tables had for a mask.
    TableResult {
        /// All tables.
        Hit = "hit",
        /// Some of them.
        Partial = "partial",
        /// None.
        Miss = "miss",
    }
}

label! {
    /// What looks wrong in a training run.
    TrainingAlarm {
        /// A loss or gradient was infinite or not a number, which ended the run.
        NotFinite = "not_finite",
        /// The discriminator tells real from fake without fail.
        DiscriminatorWins = "discriminator_wins",
        /// Latents hardly change the picture.
        DiversityCollapsed = "diversity_collapsed",
    }
}

label! {
    /// A network that is trained.
    Network {
        /// With its encoder, if it has one.
        Generator = "generator",
        /// The one that tells real from fake.
        Discriminator = "discriminator",
    }
}
