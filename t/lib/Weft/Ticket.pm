# Mints tickets (compact JWS, HS256) and forgeries of them, with nothing but Digest::SHA: it shares no code with what it
# is used to test.
package Weft::Ticket;
use v5.30;
use warnings;

use Digest::SHA qw(hmac_sha256 hmac_sha512);
use Exporter 'import';
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);

our @EXPORT_OK = qw(claims ticket sign segments forge @FORGERIES);

my $json = JSON::PP->new->utf8->canonical;

# The claims of somebody who may do everything for an hour, changed by %change; a change to undef removes the claim.
sub claims {
    my (%change) = @_;
    my %claims = (
        sub      => 'ann',
        iat      => time,
        exp      => time + 3600,
        channels => { '**' => [qw(subscribe publish signal presence history)] },
        rpc      => ['**'],
        %change,
    );
    delete @claims{ grep { !defined $claims{$_} } keys %claims };
    return \%claims;
}

# A good ticket: ticket($key, sub => 'bob', …).
sub ticket {
    my ($key, %change) = @_;
    return sign({ alg => 'HS256', typ => 'JWT' }, claims(%change), $key);
}

# Signs whatever it is given: header and claims are references, or texts that go in as they are.
sub sign {
    my ($header, $claims, $key, $mac) = @_;
    my $input = segments($header, $claims);
    return "$input." . encode_base64url(($mac // \&hmac_sha256)->($input, $key));
}

sub segments {
    return join '.', map { encode_base64url(ref $_ ? $json->encode($_) : $_) } @_;
}

# What an attacker, or a client with a mistake, may send. Each makes a ticket from the key that the server has.
our @FORGERIES = (
    [ 'alg none without signature'         => sub { segments({ alg => 'none' }, claims()) . '.' } ],
    [ 'alg None, with a right signature'   => sub { sign({ alg => 'None' }, claims(), $_[0]) } ],
    [ 'alg none, with a right signature'   => sub { sign({ alg => 'none' }, claims(), $_[0]) } ],
    [ 'no alg at all'                      => sub { sign({ typ => 'JWT' }, claims(), $_[0]) } ],
    [ 'alg HS512, rightly signed'          => sub { sign({ alg => 'HS512' }, claims(), $_[0], \&hmac_sha512) } ],
    [ 'alg RS256 over an HMAC'             => sub { sign({ alg => 'RS256' }, claims(), $_[0]) } ],
    [ 'another key'                        => sub { ticket(reverse($_[0]) . 'x') } ],
    [ 'an empty key'                       => sub { ticket('') } ],
    [ 'a key of its own in the header'     => sub {
            my $own = 'k' x 32;
            sign({ alg => 'HS256', jwk => { kty => 'oct', k => encode_base64url($own) } }, claims(), $own);
        } ],
    [ 'an unknown critical header'         => sub { sign({ alg => 'HS256', crit => ['x'], x => 1 }, claims(), $_[0]) } ],
    [ 'a signature with one bit changed'   => sub {
            my ($input, $mac) = ticket($_[0]) =~ /^(.*)\.(.*)$/;
            substr($mac, 5, 1) = substr($mac, 5, 1) eq 'A' ? 'B' : 'A';
            "$input.$mac";
        } ],
    [ 'a signature cut short'              => sub { substr(ticket($_[0]), 0, -8) } ],
    [ 'no signature'                       => sub { ticket($_[0]) =~ s/[^.]*$//r } ],
    [ "somebody else's signature"          => sub {
            my ($mac) = ticket($_[0]) =~ /([^.]*)$/;
            segments({ alg => 'HS256' }, claims(sub => 'root')) . ".$mac";
        } ],
    [ 'claims that are no object'          => sub { sign({ alg => 'HS256' }, '[1]', $_[0]) } ],
    [ 'claims that are no JSON'            => sub { sign({ alg => 'HS256' }, '{"sub":', $_[0]) } ],
    [ 'four segments'                      => sub { ticket($_[0]) . '.AAAA' } ],
    [ 'one segment'                        => sub { 'AAAA' } ],
    [ 'bytes that are no base64url'        => sub { '!!!.???.###' } ],
    [ 'nothing but dots'                   => sub { '..' } ],
);

1;
