# Webhooks: what weftd asks a back end by HTTP, and what clients see of a back end that misbehaves.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(hmac_sha256);
use HTTP::Tiny;
use MIME::Base64 qw(encode_base64 decode_base64);
use Test::More;
use Time::HiRes qw(time);
use Weft::Test;

my $t       = Weft::Test->new;
my $key     = $t->key_file;
my $back    = $t->back_end('app');
my $secret  = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
my $hook_key = spew($t->prefix . '/hooks.key', "whsec_$secret\n");
my $port    = $t->port;

# A node with these hooks.
sub node {
    my ($name, $hooks, %more) = @_;
    my $http = $t->port;
    my $node = $t->node(
        $name,
        workers    => 2,
        location   => "weft_ticket key=$key; weft_rate off;",
        rules      => "weft_channel old:** { publish on; history 100 10m; }\nweft_channel ** { publish on; presence on; }\n",
        weftd_yaml => "http: 127.0.0.1:$http\nhooks:\n$hooks",
        %more,
    );
    $node->{http} = $http;
    return $node;
}
sub metric {
    my ($node, $name) = @_;
    my $page = HTTP::Tiny->new(timeout => 20)->get("http://127.0.0.1:$node->{http}/metrics")->{content};
    my ($value) = $page =~ /^\Q$name\E (\S+)$/m;
    return $value // 0;
}
sub rpc { my ($client, $method, %more) = @_; return $client->call('rpc', method => $method, %more) }

my $url = $back->url;
my $a   = node('a', <<"YAML");
  timeout: 1s
  key: $hook_key
  max_answer: 1m
  headers: {X-Application: shop}
  breaker: {failures: 0}
  rpc: {url: "$url/rpc"}
YAML

check 'a call goes to the back end and its result comes back' => sub {
    my $client = $a->client(sub => 'ann');
    my $answer = rpc($client, 'orders.get', params => { id => 7 });
    is($answer->{type}, 'rpc_response', 'answered');
    is_deeply($answer->{payload}{result}, { method => 'orders.get', params => { id => 7 }, user => 'ann' }, 'with the result');
    my ($asked) = $back->asked('rpc');
    is($asked->{asked}{client_id}, $client->greeting->{client_id}, 'the back end knows the connection');
    is($asked->{asked}{node}, 'a', 'and the node');
    is($asked->{path}, '/rpc', 'at its URL');
    is($asked->{headers}{'x-application'}, 'shop', 'with the header of the configuration');
    is($asked->{headers}{'content-type'}, 'application/json', 'as JSON');
    is(rpc($client, 'weft.echo', params => 1)->{payload}{result}, 1, 'built-in methods are weftd\'s');
    is(scalar($back->asked('rpc')), 1, 'and not asked about');
};

check 'a call is signed as Standard Webhooks say' => sub {
    my ($asked) = $back->asked('rpc');
    my %head = map { $_ => $asked->{headers}{"webhook-$_"} } qw(id timestamp signature);
    cmp_ok(abs($head{timestamp} - time), '<', 600, 'it is fresh');
    is($head{signature}, 'v1,' . encode_base64(hmac_sha256("$head{id}.$head{timestamp}.$asked->{raw}", decode_base64($secret)), ''),
        'the signature is that of the key');
};

check 'connections to the back end are kept' => sub {
    my $client = $a->client;
    rpc($client, 'orders.get') for 1 .. 10;
    my %ports = map { $_->{peer} => 1 } $back->asked('rpc');
    cmp_ok(keys %ports, '<=', 2, 'one or two are enough');
};

check 'many calls at once are answered, each its own' => sub {
    my $client = $a->client;
    $client->send_json({ type => 'rpc', id => "c$_", payload => { method => 'sum.ok', params => $_ } }) for 1 .. 300;
    my %got;
    for (1 .. 300) {
        my $answer = $client->next_message;
        $got{ $answer->{id} } = $answer->{payload}{result}{params};
    }
    is(scalar(grep { $got{"c$_"} == $_ } 1 .. 300), 300, 'all');
};

# What a client is told, for each way in which a back end fails.
my @faults = (
    [ 'x.refuse',   4103, qr/^not you$/,              250 ],
    [ 'x.deny',     4000, qr/refused by the application/, undef ],
    [ 'x.garbage',  4017, qr/no valid answer/,        1000 ],
    [ 'x.badcode',  4017, qr/no valid answer/,        1000 ],
    [ 'x.fail',     4017, qr/no valid answer/,        1000 ],
    [ 'x.busy',     4017, qr/no valid answer/,        7000 ],
    [ 'x.huge',     4017, qr/no valid answer/,        1000 ],
    [ 'x.redirect', 4017, qr/no valid answer/,        1000 ],
    [ 'x.drop',     4017, qr/can't be reached/,       1000 ],
    [ 'x.hang',     4019, qr/didn't answer in time/,  1000 ],
);
check 'a back end that fails: the client is told, and nothing else suffers' => sub {
    my ($client, $other) = ($a->client, $a->client);
    for my $fault (@faults) {
        my ($method, $code, $message, $retry) = @$fault;
        my $before = grep { $_->{asked}{method} eq $method } $back->asked('rpc');
        my $error  = rpc($client, $method)->{payload};
        is($error->{code}, $code, "$method: $code");
        like($error->{message}, $message, 'says why');
        is($error->{retry_after_ms}, $retry, 'and when to try again');
        is(scalar(grep { $_->{asked}{method} eq $method } $back->asked('rpc')), $before + 1, 'asked once');
    }
    is(scalar(grep { $_->{path} =~ /elsewhere/ } $back->asked), 0, 'a redirect is not followed');
    $client->send_json({ type => 'rpc', id => 'h', payload => { method => 'x.hang' } });
    is(rpc($other, 'x.ok')->{type}, 'rpc_response', 'others are answered meanwhile');
    is($client->next_message->{payload}{code}, 4019, 'who called what hangs is told in time');
    like($a->weftd->log_text, qr/hook_failed hook=rpc outcome=failed why="status 500"/, 'the log says more than clients hear');
    is(rpc($client, 'x.empty')->{payload}{result}, undef, 'an empty answer is null');
};

check 'a caller that is gone: nobody minds' => sub {
    my $client = $a->client;
    $client->send_json({ type => 'rpc', id => 's', payload => { method => 'x.slow' } });
    ok(wait_for { grep { $_->{asked}{method} eq 'x.slow' } $back->asked('rpc') }, 'the back end has it');
    $client->hang_up;
    is(rpc($a->client, 'x.ok')->{type}, 'rpc_response', 'and the next call is answered');
    ok(wait_for { metric($a, 'weftd_rpc_outstanding') == 0 }, 'no call is left');
};

check 'metrics count the calls' => sub {
    my $calls = sub { metric($a, qq(weftd_hook_calls_total{hook="rpc",outcome="$_[0]"})) };
    cmp_ok($calls->('allowed'), '>=', 300, 'that were answered');
    is($calls->('refused'), 2, 'that were refused');
    is($calls->('failed'), 6, 'that failed');
    is($calls->('timed_out'), 2, 'that took too long');
    is($calls->('unreachable'), 1, 'that broke');
    cmp_ok(metric($a, 'weftd_rpc_duration_seconds_count'), '>=', 300, 'how long calls take');
};

$t->finish;
done_testing;
