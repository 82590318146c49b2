#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    behemoth_gen_fuzz::targets::spec(data);
});
