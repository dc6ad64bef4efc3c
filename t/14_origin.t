# weft_origin: which pages may connect. A refusal comes before the upgrade.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t     = Weft::Test->new(needs => ["ngx_http_weft_module.so"]);
my $key   = $t->key_file;
my $nginx = $t->nginx(
    'a',
    server => "        location /listed { weft_websocket; weft_ticket key=$key; weft_origin https://app.example.com http://localhost:8080; }\n"
        . "        location /any { weft_websocket; weft_ticket key=$key; weft_origin *; }\n"
        . "        location /null { weft_websocket; weft_ticket key=$key; weft_origin null; }\n"
        . "        location /strict { weft_websocket; weft_ticket key=$key; weft_origin https://app.example.com none=off; }\n"
        . "        location /browsers { weft_websocket; weft_ticket key=$key; weft_origin none=off; }\n"
        . "        location /below { weft_websocket; weft_ticket key=$key; weft_origin https://*.example.com http://*.dev.test:8080; }\n"
        . "        location /short { weft_websocket; weft_ticket key=$key; weft_origin *.example.com; }\n"
        . "        location /same { weft_websocket; weft_ticket key=$key; weft_origin same https://admin.example.com; }\n"
        . "        location /regex { weft_websocket; weft_ticket key=$key; weft_origin '~https://pr-\\d{1,4}\\.example\\.com' ~*HTTP://A\\.B|http://a; }\n"
        . "        location /six { weft_websocket; weft_ticket key=$key; weft_origin https://[2001:db8::1] http://[::1]:8080; }\n",
);
my $ticket = $t->ticket;

sub status_for {
    my ($path, $origin, $host, $token) = @_;
    my $answer = $nginx->exchange("GET $path HTTP/1.1\r\nHost: " . ($host // 'localhost') . "\r\nUpgrade: websocket\r\n"
            . "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            . 'Authorization: Bearer ' . ($token // $ticket) . "\r\n"
            . (defined $origin ? "Origin: $origin\r\n" : '') . "\r\n");
    return $answer->{status};
}

my @table = (
    # path, origin, status, host
    [ '/listed', 'https://app.example.com',          101 ],
    [ '/listed', 'http://localhost:8080',            101 ],
    [ '/listed', 'https://APP.example.com',          101 ],
    [ '/listed', 'https://app.example.com:443',      101 ],
    [ '/listed', undef,                              101 ],
    [ '/listed', 'http://app.example.com',           403 ],
    [ '/listed', 'https://app.example.com:8443',     403 ],
    [ '/listed', 'https://app.example.com.evil.org', 403 ],
    [ '/listed', 'https://evil.org',                 403 ],
    [ '/listed', 'https://xapp.example.com',         403 ],
    [ '/listed', 'null',                             403 ],
    [ '/listed', 'nonsense',                         403 ],
    [ '/listed', 'http://localhost',                 403 ],
    [ '/any',    'https://evil.org',                 101 ],
    [ '/any',    'file://',                          101 ],
    [ '/any',    'null',                             403 ],
    [ '/any',    undef,                              101 ],
    # null only by its name, and then nothing else
    [ '/null',   'null',                             101 ],
    [ '/null',   'NULL',                             403 ],
    [ '/null',   'https://localhost',                403 ],
    # clients without Origin, which are no browsers
    [ '/strict', 'https://app.example.com',          101 ],
    [ '/strict', undef,                              403 ],
    [ '/strict', '',                                 403 ],
    [ '/browsers', undef,                            403 ],
    [ '/browsers', 'https://shop.example.com',       101, 'shop.example.com' ],
    [ '/browsers', 'https://evil.org',               403, 'shop.example.com' ],
    # everything below a host
    [ '/below',  'https://app.example.com',          101 ],
    [ '/below',  'https://a.b.example.com',          101 ],
    [ '/below',  'https://APP.EXAMPLE.COM:443',      101 ],
    [ '/below',  'http://x.dev.test:8080',           101 ],
    [ '/below',  'https://example.com',              403 ],
    [ '/below',  'http://app.example.com',           403 ],
    [ '/below',  'https://app.example.com:444',      403 ],
    [ '/below',  'https://app.example.com.evil.org', 403 ],
    [ '/below',  'https://example.com.evil.org',     403 ],
    [ '/below',  'https://evilexample.com',          403 ],
    [ '/below',  'https://evil-example.com',         403 ],
    [ '/below',  'https://app.example.com.',         403 ],
    [ '/below',  'https://.example.com',             403 ],
    [ '/below',  'https://a..example.com',           403 ],
    [ '/below',  'https://*.example.com',            403 ],
    [ '/below',  'https://evil.org/.example.com',    403 ],
    [ '/below',  'https://evil.org?.example.com',    403 ],
    [ '/below',  'https://evil.org#.example.com',    403 ],
    [ '/below',  'https://app.example.com@evil.org', 403 ],
    [ '/below',  'https://evil.org@app.example.com', 403 ],
    [ '/below',  'https://evil.org:80@app.example.com', 403 ],
    [ '/below',  'https://app.example.com, https://evil.org', 403 ],
    [ '/below',  'https://evil.org https://app.example.com', 403 ],
    [ '/below',  'http://x.dev.test',                403 ],
    [ '/below',  'null',                             403 ],
    [ '/short',  'https://app.example.com',          101 ],
    [ '/short',  'http://app.example.com',           403 ],
    [ '/short',  'https://example.com',              403 ],
    # the host itself, among others
    [ '/same',   'https://admin.example.com',        101, 'shop.example.com' ],
    [ '/same',   'https://shop.example.com',         101, 'shop.example.com' ],
    [ '/same',   'https://evil.org',                 403, 'shop.example.com' ],
    # expressions match the whole origin, lower case and without its default port
    [ '/regex',  'https://pr-7.example.com',         101 ],
    [ '/regex',  'https://PR-1234.example.com:443',  101 ],
    [ '/regex',  'https://pr-12345.example.com',     403 ],
    [ '/regex',  'https://pr-7.example.com.evil.org', 403 ],
    [ '/regex',  'https://pr-7.example.com:8443',    403 ],
    [ '/regex',  'https://pr-7xexample.com',         403 ],
    [ '/regex',  'https://evil.org/https://pr-7.example.com', 403 ],
    [ '/regex',  'http://a.b',                       101 ],
    [ '/regex',  'http://a',                         101 ],
    [ '/regex',  'http://a.bc',                      403 ],
    [ '/regex',  'null',                             403 ],
    # IPv6
    [ '/six',    'https://[2001:db8::1]',            101 ],
    [ '/six',    'https://[2001:DB8::1]:443',        101 ],
    [ '/six',    'http://[::1]:8080',                101 ],
    [ '/six',    'http://[::1]',                     403 ],
    [ '/six',    'http://[::1]:8081',                403 ],
    [ '/six',    'https://[2001:db8::1].evil.org',   403 ],
    [ '/six',    'https://2001:db8::1',              403 ],
    [ '/ws',     'http://[::1]:8080',                101, '[::1]:8080' ],
    [ '/ws',     'http://[::1]:8080',                403, '[::2]:8080' ],
    [ '/ws',     'https://shop.example.com.',        403, 'shop.example.com' ],
    [ '/ws',     'https://shop.example.com@evil.org', 403, 'shop.example.com' ],
    [ '/ws',     'https://evil.org@shop.example.com', 403, 'shop.example.com' ],
    # without weft_origin: the page comes from the host that it connects to
    [ '/ws',     undef,                              101, 'shop.example.com' ],
    [ '/ws',     'https://shop.example.com',         101, 'shop.example.com' ],
    [ '/ws',     'http://shop.example.com:8080',     101, 'shop.example.com:8080' ],
    [ '/ws',     'https://Shop.Example.com',         101, 'shop.example.COM' ],
    [ '/ws',     'https://evil.org',                 403, 'shop.example.com' ],
    [ '/ws',     'http://shop.example.com:81',       403, 'shop.example.com:82' ],
    [ '/ws',     'https://shop.example.com.evil.org', 403, 'shop.example.com' ],
    [ '/ws',     'null',                             403, 'shop.example.com' ],
);
for (@table) {
    my ($path, $origin, $status, $host) = @$_;
    is(status_for($path, $origin, $host), $status,
        ($origin // 'no origin') . " to $path" . ($host ? " of $host" : '') . " is answered $status");
}

is(status_for('/listed', 'https://evil.org', undef, 'forged'), 403, 'the origin is looked at before the ticket');
check 'a refusal is plain HTTP' => sub {
    my $answer = $nginx->exchange("GET /listed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
            . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: https://evil.org\r\n\r\n");
    is($answer->{status}, 403, 'status 403');
    is($answer->{headers}{'sec-websocket-accept'}, undef, 'no Sec-WebSocket-Accept');
    is($answer->{headers}{upgrade}, undef, 'no Upgrade');
};
check 'a refusal is in the error log with the origin' => sub {
    like($nginx->error_log, qr/evil\.org/, 'so that an operator sees what to allow');
};

check 'refusals are counted' => sub {
    my $before = $nginx->request(GET => '/status')->{json}{refused}{origin};
    status_for('/listed', 'https://evil.org');
    is($nginx->request(GET => '/status')->{json}{refused}{origin}, $before + 1, 'one more');
};

for (
    [ 'https://a.example.com *.b.example none=off', undef ],
    [ 'same null none=on',                          undef ],
    [ '~^https://a$',                               undef ],
    [ '"~^https://[a-z]{1,5}\\.example\\.com$"',     undef ],
    [ 'none=off',                                   undef ],
    [ '"~https://(a"',                              qr/"~https:\/\/\(a" is no expression: .*/ ],
    [ '~',                                          qr/"~" is an empty expression/ ],
    [ 'https://*',                                  qr/"https:\/\/\*" is not an origin/ ],
    [ 'https://*.127.0.0.1',                        qr/"https:\/\/\*\.127\.0\.0\.1" has a star before what is no name/ ],
    [ 'none',                                       qr/"none" is not an origin: expected .*none=on, none=off/ ],
    [ 'https://user@example.com',                   qr/is not an origin/ ],
    [ 'https://a; weft_origin https://b',           qr/"weft_origin" directive is duplicate/ ],
    )
{
    my ($value, $says) = @$_;
    my ($status, $output) = $nginx->test_configuration($nginx->configuration(location => "weft_ticket key=$key; weft_origin $value;"));
    if ($says) { ok($status != 0 && $output =~ $says && $output =~ /try\.conf:\d+/, "weft_origin $value is refused") or diag($output) }
    else       { is($status, 0, "weft_origin $value is accepted") or diag($output) }
}

$t->finish;
done_testing;
