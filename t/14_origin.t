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
        . "        location /any { weft_websocket; weft_ticket key=$key; weft_origin *; }\n",
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
    [ '/any',    'null',                             101 ],
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

$t->finish;
done_testing;
