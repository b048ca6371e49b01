// SPDX-License-Identifier: MIT

//! Where an element lies in its pipeline.

use gst::prelude::*;

/// Names of the bins that `object` is in, outermost first, and its own, joined by `/`. The pipeline's is left
/// out: GStreamer has elements of one name in different bins, and this tells them apart.
pub fn path_of(object: &impl IsA<gst::Object>) -> String {
    let object: &gst::Object = object.upcast_ref();
    let mut path = String::from(object.name());
    let mut above = object.parent();
    while let Some(bin) = above {
        above = bin.parent();
        // What is outermost and no pipeline is a bin that was taken out of one: its elements keep their paths.
        if above.is_none() && bin.is::<gst::Pipeline>() {
            break;
        }
        path = format!("{}/{path}", bin.name());
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_the_pipeline() {
        gst::init().unwrap();
        let element = gst::ElementFactory::make("identity").name("vad").build();
        let element = element.unwrap();
        assert_eq!(path_of(&element), "vad");
        let inner = gst::Bin::builder().name("inner").build();
        inner.add(&element).unwrap();
        let caller = gst::Bin::builder().name("caller1").build();
        caller.add(&inner).unwrap();
        let pipeline = gst::Pipeline::builder().name("p").build();
        pipeline.add(&caller).unwrap();
        assert_eq!(path_of(&element), "caller1/inner/vad");
        assert_eq!(path_of(&caller), "caller1");
        pipeline.remove(&caller).unwrap();
        assert_eq!(path_of(&element), "caller1/inner/vad");
    }
}
