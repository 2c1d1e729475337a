//! Words that mark a value as an example. The build script reads them.

/// Words that mark a value as an example, anywhere in the value and without regard to case.
pub const PLACEHOLDERS: &str = "example placeholder changeme change_me change-me change_this replace redacted dummy xxxx **** .... your_ \
    your- yourt yourp yours <your insert notreal not-real not_real notasecret not-a- not_a_ fake_ fake- fakes \
    faket mock_ mock- sample foobar deadbeef cafebabe abcdefgh abcdef12 abcdef01 01234567 12345678 98765432 \
    aaaaaaaa 00000000 11111111 s3cr3t lorem todo fixme dontuse invalid somesecret some-secret some_secret \
    mysecret my-secret my_secret mytoken my-token my_token mypass my-pass my_pass the_token testtoken test-token \
    test_token testsecret test-secret test_secret supersecret super-secret super_secret masked hidden censored \
    removed omitted 4ec39hqlyjwdarjt eby8vdm02xnocqfl aeeed9bbccd4d02e";
