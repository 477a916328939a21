//! The style encoders (paper section 3, multi-modal synthesis).

use candle_core::{Result, Tensor, bail};
use spadework_model::{Architecture, EncoderArchitecture, Posterior};

use super::{
    layers::{ConvLayer, channels_first, channels_last, linear},
    pass::Pass,
    specification::{ConvNorm, Networks},
};
use spadework_autograd::{Conv, SLOPE};

/// Height and width the encoders work at.
const SIDE: usize = 256;

/// An encoder that is trained.
#[derive(Clone, Debug)]
pub struct Encoder {
    kind: EncoderArchitecture,
    norm: ConvNorm,
    z_dim: usize,
}

impl Encoder {
    /// The encoder of `networks`, if there is one.
    pub fn new(networks: &Networks) -> Option<Self> {
        let Architecture { encoder, z_dim, .. } = networks.architecture;
        Some(Self { kind: encoder?, norm: networks.encoder_conv_norm()?, z_dim: z_dim? })
    }

    /// Names and widths of the convs.
    pub(super) fn layers(&self) -> Vec<(String, usize)> {
        match self.kind {
            EncoderArchitecture::Published { width } => (1..)
                .zip([1, 2, 4, 8, 8, 8])
                .map(|(index, factor)| (format!("layer{index}"), factor * width))
                .collect(),
            EncoderArchitecture::Color { width } => (0..)
                .zip([1, 2, 4, 4, 4])
                .map(|(index, factor)| (format!("layers.{index}"), factor * width))
                .collect(),
        }
    }

    /// Images (N, 3, H, W) in [-1, 1] to the posterior of `z`. No gradient flows to the images.
    ///
    /// # Errors
    /// When a parameter is missing.
    pub fn forward(&self, pass: Pass<'_>, images: &Tensor) -> Result<Posterior> {
        let (_, colours, h, w) = images.dims4()?;
        if colours != 3 {
            bail!("the encoder takes images (N, 3, H, W), not {:?}", images.dims())
        }
        let mut x = images.detach();
        if (h, w) != (SIDE, SIDE) {
            x = x.contiguous()?.upsample_bilinear2d(SIDE, SIDE, false)?;
        }
        let color = matches!(self.kind, EncoderArchitecture::Color { .. });
        if color {
            x = x.avg_pool2d(2)?;
        }
        let mut x = channels_last(&x)?;
        for (name, width) in self.layers() {
            let layer = ConvLayer {
                name: &name,
                shape: [width, x.dim(3)?, 3, 3],
                conv: Conv { padding: 1, stride: 2, slope: SLOPE },
                norm: self.norm,
            };
            x = layer.forward(pass, &x)?;
        }
        let x = channels_first(&x)?.flatten_from(1)?; // (N, features)
        let mu = linear(pass, "fc_mu", &x, self.z_dim)?;
        let logvar = linear(pass, "fc_var", &x, self.z_dim)?;
        Ok(Posterior { mu, logvar: if color { logvar.clamp(-8.0, 8.0)? } else { logvar } })
    }
}
